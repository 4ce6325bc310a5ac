"""Where the weights lie, as a user sees it: --mlock, --low-memory, --no-mmap."""
import ctypes
import resource
import subprocess

import harness
from harness import check

PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14


def demo_file(folder):
    path = folder / "demo.gguf"
    harness.run_well([harness.STERNA, "convert", harness.DEMO, "-o", path, "--quiet"])
    return path


def answer(path, *options, **run_options):
    return harness.run_well([harness.STERNA, "run", path, "-p", "Once upon a time", "-n", "40", "--temp", "0", *options], **run_options)


def every_form_says_the_same(folder):
    path = demo_file(folder)
    expected = answer(path).stdout
    for options in (["--low-memory"], ["--low-memory", "--mlock"], ["--no-mmap"], ["--no-verify", "--low-memory"]):
        result = answer(path, *options)
        check(result.stdout == expected, f"{options}: {result.stdout!r}, not {expected!r}")


def locked_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmLck:"))


def mlock_locks_the_weights(folder):
    path = demo_file(folder)
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if 0 <= limit < 4 << 20:
        raise harness.Skip(f"this process may lock {limit} bytes only")
    for options, expected in ((["--mlock"], True), ([], False)):
        process = subprocess.Popen([harness.STERNA, "chat", str(path), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        with process:
            process.stdin.write(b"Hi\n")
            process.stdin.flush()
            check(process.stdout.read(1), "no answer")  # so the model is loaded
            locked = locked_bytes(process.pid)
            process.stdin.close()
        check((locked >= 2 << 20) == expected, f"{options}: {locked} bytes are locked")  # the demo has 2.2 MiB of weights


def without_the_right_to_lock():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)  # root is above the limit otherwise


def mlock_that_is_not_allowed_is_a_note(folder):
    path = demo_file(folder)
    result = answer(path, "--mlock", preexec_fn=without_the_right_to_lock)
    check(result.stdout == answer(path).stdout, "another answer")
    lines = result.stderr.splitlines()
    check(len(lines) == 1 and "0.06 MiB" in lines[0] and "`ulimit -l`" in lines[0], f"stderr: {result.stderr!r}")


def low_memory_without_a_file_is_one_line(folder):
    for arguments, code, word in [(["run", harness.DEMO, "-p", "a", "--low-memory"], 1, "sterna convert"),
                                  (["run", demo_file(folder), "-p", "a", "--low-memory", "--no-mmap"], 2, "--no-mmap"),
                                  (["bench", "--synthetic", "0.7b", "--low-memory"], 2, "synthetic")]:
        result = harness.run([harness.STERNA, *arguments])
        check(result.returncode == code, f"{arguments}: exit code {result.returncode}")
        check(result.stdout == "", f"{arguments}: {result.stdout!r}")
        check(word in result.stderr.splitlines()[0], f"{arguments}: {result.stderr!r}")


if __name__ == "__main__":
    harness.main("memory", {case.__name__: case for case in (
        every_form_says_the_same, mlock_locks_the_weights, mlock_that_is_not_allowed_is_a_note, low_memory_without_a_file_is_one_line)})
