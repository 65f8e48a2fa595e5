"""Writes the notices of the code of others that is in the executable:
python3 packaging/tools/licences.py TARGET OUT        TARGET is a triple, such as x86_64-unknown-linux-musl

For each crate it gives name, version and licence, and the texts of all files about licences that lie in the crate's
sources. A text that several crates have stands there once. The notices of Rust's standard library come from the
toolchain. It fails where a crate has neither such a file nor a licence whose text is known here.
"""

import html
import pathlib
import re
import subprocess
import sys

from crates import ROOT, built, metadata

NOTICE = re.compile(r"(un)?licen[sc]e([-_. ].*)?|copying([-_.].*)?|copyright([-_.].*)?|notice([-_.].*)?", re.I)
# Files of these kinds are settings or code with such a name; these folders are not compiled in.
NO_TEXT = {".toml", ".rs", ".yml", ".yaml", ".json"}
NOT_BUILT = {".github", "benches", "examples", "fuzz", "test", "testdata", "tests"}
# musl is linked into the static executable. Its file COPYRIGHT begins with this notice.
MUSL = "Copyright © 2005-2020 Rich Felker, et al."


def body_of_mit():
    """The MIT licence without a line of copyright."""
    text = (ROOT / "LICENSE-MIT").read_text()
    return text[text.index("Permission is hereby granted"):]


def texts_of(package):
    """The texts about licences in the crate's sources."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.rglob("*")
                   if NOTICE.fullmatch(path.name) and path.is_file() and path.suffix.lower() not in NO_TEXT
                   and not NOT_BUILT.intersection(path.relative_to(folder).parts))
    return [path.read_text(errors="replace") for path in files] or standard_texts(package)


def standard_texts(package):
    """The text of the licence that a crate without such files names, with its authors."""
    licence = package["license"] or ""
    if re.search(r"\bMIT\b", licence):
        authors = ", ".join(package["authors"]) or f"the authors of {package['name']}"
        return [f"Copyright (c) {authors}\n\n{body_of_mit()}"]
    if re.search(r"\bApache-2\.0\b", licence):
        return [(ROOT / "LICENSE-APACHE").read_text()]
    sys.exit(f"{package['name']} {package['version']} has no licence file, and {licence or 'its licence'} is not known here")


def of_rust():
    """The notices of Rust's standard library, as text."""
    root = subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    file = pathlib.Path(root.strip()) / "share/doc/rust/COPYRIGHT-library.html"
    if not file.exists():
        sys.exit(f"{file} is missing: a toolchain of rustup has it")
    page = re.sub(r"<(head|style|script)\b.*?</\1>", "", file.read_text(), flags=re.S)
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    lines = [line.rstrip() for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target, out = sys.argv[1:]
    tree = metadata(target)
    packages = {package["id"]: package for package in tree["packages"]}
    _, found = built(tree)
    crates = sorted((packages[crate] for crate in found if packages[crate]["source"]),
                    key=lambda package: (package["name"], package["version"]))
    # The number of each text, by its words: line breaks and blanks differ from crate to crate.
    numbers, texts = {}, []

    def number(text):
        key = " ".join(text.split())
        if key not in numbers:
            texts.append(text.strip("\n"))
            numbers[key] = len(texts)
        return numbers[key]

    rows = []
    for package in crates:
        given = sorted({number(text) for text in texts_of(package)})
        where = package["repository"] or f"https://crates.io/crates/{package['name']}"
        marks = " ".join(f"[{each}]" for each in given)
        rows.append(f"{package['name']} {package['version']}: {package['license']}\n    {where}\n    {marks}")
    of_musl = number(f"{MUSL}\n\n{body_of_mit()}")
    rows.append(f"musl libc: MIT\n    https://musl.libc.org\n    [{of_musl}]")
    line = "-" * 80
    parts = ["The executable of Waypost contains the code of others: the crates below, musl libc, and Rust's standard library.\n"
             "A number in brackets names a text further down.", "\n".join(rows)]
    parts += [f"{line}\n[{place}]\n\n{text}" for place, text in enumerate(texts, 1)]
    parts.append(f"{line}\nRust's standard library\n\n{of_rust()}")
    pathlib.Path(out).write_text("\n\n".join(parts) + "\n")
    print(f"{pathlib.Path(out).name}: {len(crates)} crates, {len(texts)} texts")


main()
