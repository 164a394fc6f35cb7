import sys


def main():
    sys.exit("a message")


main()
