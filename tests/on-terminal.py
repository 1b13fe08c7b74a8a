"""Run a command on a terminal of its own, and hold a dialogue with it: pairs of what to wait for and what to type."""
import os, pty, re, select, sys, time
patience, dialogue = float(sys.argv[1]), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.environ["PS1"] = "$ "
    os.execvp("bash", ["bash", "--norc", "--noprofile"] + (["-c", sys.argv[2]] if sys.argv[2] else ["-i"]))
seen, at, step, end = b"", 0, 0, time.time() + patience
while True:
    while step < len(dialogue):
        m = re.search(dialogue[step].encode(), seen[at:])
        if not m:
            break
        at += m.end()
        os.write(fd, dialogue[step + 1].encode().decode("unicode_escape").encode())
        step += 2
    if time.time() > end:
        seen += b"\nHANG"
        break
    if select.select([fd], [], [], 0.5)[0]:
        try:
            got = os.read(fd, 4096)
        except OSError:
            break
        if not got:
            break
        seen += got
os.close(fd)
if step < len(dialogue):
    seen += b"\nWAITED IN VAIN FOR " + dialogue[step].encode()
sys.stdout.write(seen.decode(errors="replace").replace("\r", ""))
