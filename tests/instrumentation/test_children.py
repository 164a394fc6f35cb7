"""What is recorded in processes that the program starts by multiprocessing."""

import pytest

from harness import Lab

PROGRAM = """
import multiprocessing, sys

def square(x):
    return x * x

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        print(pool.map(square, range(6), chunksize=1))
    process = context.Process(target=square, args=(7,))
    process.start()
    process.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_functions_of_the_script_are_recorded_in_its_children(lab: Lab, method: str) -> None:
    """However a child comes by the script's functions, their calls are recorded under the script's name."""
    lab.write("job.py", PROGRAM)
    result = lab.observed("job.py", method)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "[0, 1, 4, 9, 16, 25]\n"
    assert len(result.named("job.square")) == 7
    assert [note for image in result.images for note in image.notes] == []
