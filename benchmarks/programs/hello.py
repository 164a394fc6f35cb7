"""The least that a program does."""

print("hello, world")
