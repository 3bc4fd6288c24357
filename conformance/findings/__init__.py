"""What is wrong in the frameworks: distinct defects, as data, each with a program that shows it."""
