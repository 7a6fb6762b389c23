"""Renders our Helm chart: the part of Helm's templates that it uses, and no more. What it does not
know is an error, so that the chart stays simple."""

import re
import sys
from pathlib import Path

import yaml

ACTION = re.compile(r"\{\{(-?)\s*(.*?)\s*(-?)\}\}", re.S)


def dumped(value):
    return yaml.safe_dump(value, default_flow_style=False, sort_keys=False).rstrip("\n").removesuffix("\n...")


class Chart:
    def __init__(self, folder, release="test", values=None):
        self.folder = Path(folder)
        chart = yaml.safe_load((self.folder / "Chart.yaml").read_text())
        own = yaml.safe_load((self.folder / "values.yaml").read_text())
        for path, value in (values or {}).items():
            place, *rest = path.split(".")[::-1]
            table = own
            for name in rest[::-1]:
                table = table[name]
            assert place in table, f"the chart has no value {path}"
            table[place] = value
        self.root = {
            "Values": own,
            "Release": {"Name": release},
            "Chart": {"AppVersion": chart["appVersion"]},
        }

    def value(self, word, dot):
        if word == ".":
            return dot
        if word.startswith('"'):
            return word[1:-1]
        if not word.startswith("."):
            return int(word)
        found = self.root
        for name in word[1:].split("."):
            if name not in found:
                raise KeyError(f"{word}: there is no {name}")
            found = found[name]
        return found

    def result(self, text, dot):
        held = None
        for number, step in enumerate(part.strip() for part in text.split("|")):
            name, *words = re.findall(r'"[^"]*"|\S+', step)
            arguments = [self.value(word, dot) for word in words]
            if number:
                arguments.append(held)
            if name == "toYaml":
                held = dumped(arguments[0])
            elif name == "nindent":
                width, block = arguments
                held = "\n" + "\n".join(" " * width + line for line in block.split("\n"))
            elif name == "quote":
                held = yaml.dump(str(arguments[0]), default_style='"', width=10**6).rstrip("\n")
            elif name == "default":
                held = arguments[1] or arguments[0]
            elif name == "not":
                held = not arguments[0]
            elif name[0] in '."' and not number:
                held = self.value(name, dot)
            else:
                raise ValueError(f"the renderer knows no {name!r}")
        return held

    def rendered(self, text):
        out, at = [], 0
        # Whether what is read counts, and what `.` stands for.
        stack = [(True, None)]
        for match in ACTION.finditer(text):
            before = text[at : match.start()]
            if match[1]:
                before = before.rstrip()
            if stack[-1][0]:
                out.append(before)
            at = match.end()
            if match[3]:
                at += len(text[at:]) - len(text[at:].lstrip())
            counts, dot = stack[-1]
            word, _, rest = match[2].partition(" ")
            if word == "if":
                stack.append((counts and bool(self.result(rest, dot)), dot))
            elif word == "with":
                held = self.result(rest, dot)
                stack.append((counts and bool(held), held))
            elif word == "end":
                stack.pop()
            elif counts:
                held = self.result(match[2], dot)
                out.append({True: "true", False: "false"}.get(held, str(held)) if isinstance(held, bool) else str(held))
        assert len(stack) == 1, "an if or with has no end"
        out.append(text[at:])
        return "".join(out)

    def objects(self):
        found = []
        for file in sorted((self.folder / "templates").glob("*.yaml")):
            text = self.rendered(file.read_text())
            try:
                found += [one for one in yaml.safe_load_all(text) if one]
            except yaml.YAMLError as why:
                sys.exit(f"{file}: {why}\n{text}")
        return found


if __name__ == "__main__":
    print("---\n".join(dumped(one) + "\n" for one in Chart(sys.argv[1]).objects()))
