"""What the pages share: the environment of their templates, and the assets that go into them."""
