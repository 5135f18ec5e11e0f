"""Prints the licences of the crates in the program, and of the playground's packages."""

import json
import pathlib
import subprocess

root = pathlib.Path(__file__).parent.parent
target = subprocess.run(["rustc", "--print=host-tuple"], capture_output=True, text=True, check=True).stdout.strip()
command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"]
metadata = json.loads(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}

# The crates that are linked: neither those of builds nor those of tests.
linked, pending = set(), [metadata["resolve"]["root"]]
while pending:
    crate = pending.pop()
    if crate not in linked:
        linked.add(crate)
        kinds = ((edge["pkg"], kind["kind"]) for edge in nodes[crate]["deps"] for kind in edge["dep_kinds"])
        pending += [needed for needed, kind in kinds if kind is None]

# Most crates share a few texts.
texts = {}
for package in sorted((packages[crate] for crate in linked), key=lambda package: (package["name"], package["version"])):
    if package["source"] is None:
        continue
    name = f"{package['name']} {package['version']}: {package['license']}"
    folder = pathlib.Path(package["manifest_path"]).parent
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name.upper().startswith(("LICEN", "COPYING", "NOTICE", "UNLICENSE")):
            names = texts.setdefault(" ".join(file.read_text(errors="replace").split()), (file, []))[1]
            names.append(name)
for file, names in texts.values():
    print("\n".join(["=" * 80, *names, "", file.read_text(errors="replace").strip(), ""]))
print("=" * 80, (root / "playground/dist/licenses.txt").read_text(), sep="\n")
