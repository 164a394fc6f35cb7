"""Functions and classes keep their identity, pickle by reference and cross to pools."""
import copy
import multiprocessing
import pickle


def square(x):
    return x * x


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x

    def double(self):
        return Point(self.x * 2)


def closure(n):
    def inner(x):
        return x + n

    return inner


if __name__ == "__main__":
    print(pickle.dumps(square), pickle.dumps(Point(1)), pickle.loads(pickle.dumps(Point)) is Point)
    print(copy.deepcopy(Point(3)).double().x, closure(2)(3))
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(5)), [p.x for p in pool.map(Point.double, [Point(1)])])
