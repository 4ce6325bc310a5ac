"""--storage, as a user sees it: the same answer in every form, and a copy that is made once and never trusted blindly."""
import harness
from harness import check


def convert(path, *options):
    harness.run_well([harness.STERNA, "convert", harness.DEMO, "-o", path, "--quiet", *options])
    return path


def answer(path, *options):
    return harness.run_well([harness.STERNA, "run", path, "-p", "Once upon a time", "-n", "40", "--temp", "0", *options])


def every_form_says_the_same(folder):
    fast, small = convert(folder / "fast.gguf"), convert(folder / "s.gguf", "--storage", "small")
    check(small.stat().st_size < fast.stat().st_size, "small is not smaller")
    expected = answer(fast).stdout
    check(answer(small).stdout == expected, "--storage small has another answer")
    for path in (fast, small):
        for storage in ("file", "fast", "small", "auto"):
            check(answer(path, "--storage", storage).stdout == expected, f"{path.name} --storage {storage}")
    check(answer(fast, "--storage", "small", "--low-memory").stdout == expected, "with --low-memory")


def the_copy_is_made_once(folder):
    path, copy = convert(folder / "m.gguf"), folder / "m.small.gguf"
    answer(path, "--storage", "small")
    first = copy.stat()
    answer(path, "--storage", "small")
    check(copy.stat().st_mtime_ns == first.st_mtime_ns, "the copy was written again")
    check(sorted(p.name for p in folder.iterdir()) == ["m.gguf", "m.small.gguf"], f"{list(folder.iterdir())}")


def a_copy_of_another_file_is_made_anew(folder):
    path, copy = convert(folder / "m.gguf"), folder / "m.small.gguf"
    answer(path, "--storage", "small")
    old = copy.read_bytes()
    convert(path, "--embedding", "bf16")
    expected = answer(path).stdout
    check(answer(path, "--storage", "small").stdout == expected, "the answer of the old file")
    check(copy.read_bytes() != old, "the old copy is still there")


def a_damaged_copy_is_made_anew(folder):
    path, copy = convert(folder / "m.gguf"), folder / "m.small.gguf"
    answer(path, "--storage", "small")
    good = copy.read_bytes()
    copy.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    answer(path, "--storage", "small")
    check(copy.read_bytes() == good, "the damaged copy is still there")


def a_file_of_the_users_is_not_overwritten(folder):
    path, own = convert(folder / "m.gguf"), convert(folder / "m.small.gguf", "--embedding", "bf16", "--storage", "small")
    before = own.read_bytes()
    result = harness.run([harness.STERNA, "run", path, "-p", "x", "-n", "1", "--storage", "small"])
    check(result.returncode == 1 and "m.small.gguf: is no repacked copy" in result.stderr, result.stderr)
    check(own.read_bytes() == before, "the user's file was changed")


def a_directory_has_no_form(folder):
    result = harness.run([harness.STERNA, "run", harness.DEMO, "-p", "x", "-n", "1", "--storage", "auto"])
    check(result.returncode == 1 and "needs a model file" in result.stderr, result.stderr)


if __name__ == "__main__":
    harness.main("storage", {case.__name__: case for case in (
        every_form_says_the_same, the_copy_is_made_once, a_copy_of_another_file_is_made_anew, a_damaged_copy_is_made_anew,
        a_file_of_the_users_is_not_overwritten, a_directory_has_no_form)})
