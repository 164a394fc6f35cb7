"""A program full of secrets: it is given them in a file, and has them in all places that Rheostat looks at.

program.py [OPTIONS AND ARGUMENTS WITH SECRETS]    PLANTED names the file, READY and GO what to make and wait for
"""

import json
import os
import subprocess
import sys
import threading

with open(os.environ["PLANTED"]) as file:
    planted = json.load(file)


class Fatal(Exception):
    pass


def given(value):
    return len(value)


def named(**values):
    return len(values)


def dictionary(options, *rest, **more):
    return len(options), len(rest), len(more)


def fails(text):
    raise ValueError(text)


def items(text):
    yield text
    raise RuntimeError(text)


async def waits(text):
    raise KeyError(text)


def drive(coroutine):
    try:
        coroutine.send(None)
    except KeyError:
        pass


def in_thread(name):
    thread = threading.Thread(target=given, args=(name,), name=name)
    thread.start()
    thread.join()


def every(place):
    return [text for where, text in planted if where == place]


def main():
    for text in every("argument"):
        given(text)
        given("a long text " * 15 + text)
    for text in every("keyword"):
        name, _, value = text.partition("=")
        named(**{name: value})
    for text in every("dictionary"):
        dictionary({"password": text}, {"Authorization": f"Bearer {text}"}, headers=[text])
    for number, text in enumerate(every("error")):
        try:
            if number % 3 == 0:
                fails(text)
            elif number % 3 == 1:
                list(items(text))
            else:
                drive(waits(text))
        except (ValueError, RuntimeError):
            pass
    for text in every("thread"):
        in_thread(text)
    for text in every("child"):
        command = [
            sys.executable,
            "-c",
            "import sys; sys.exit(len(sys.argv) != 4)",
            "--token",
            text,
            f"x=https://u:{text}@h/",
        ]
        subprocess.run(command, check=True)
    open(os.environ["READY"], "w").close()
    while not os.path.exists(os.environ["GO"]):
        pass
    raise Fatal(every("error")[0] + " " + every("error")[-1])


if __name__ == "__main__":
    sys.excepthook = lambda *failure: (
        None
    )  # so that stderr has nothing of ours in it that is the program's
    main()
