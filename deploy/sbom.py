"""A bill of materials (CycloneDX 1.5, JSON) of Cargo.lock: every crate with its version, where it comes
from, its checksum and what it depends on. The same lock gives the same document: its serial number is made
from the lock, and its time is SOURCE_DATE_EPOCH, if that is set.

    python3 deploy/sbom.py Cargo.lock > optimux.cdx.json
"""

import datetime
import hashlib
import json
import os
import sys
import tomllib
import uuid


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package):
    made = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if "checksum" in package:
        made["hashes"] = [{"alg": "SHA-256", "content": package["checksum"]}]
    return made


def main(path):
    with open(path, "rb") as file:
        text = file.read()
    packages = tomllib.loads(text.decode())["package"]
    by_name = {}
    for package in packages:
        by_name.setdefault(package["name"], []).append(package)

    def meant(dependency):
        # "name", "name version" or "name version (source)": the shortest that is not ambiguous.
        name, *rest = dependency.split(" ")
        found = [one for one in by_name[name] if not rest or one["version"] == rest[0]]
        if len(found) != 1:
            raise SystemExit(f"{path}: {dependency} is {len(found)} packages")
        return purl(found[0])

    own = [one for one in packages if "source" not in one]
    if len(own) != 1:
        raise SystemExit(f"{path}: {len(own)} packages have no source, and one is ours")
    root = own[0]
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    metadata = {"component": {**component(root), "type": "application"}}
    if epoch:
        at = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
        metadata["timestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(hashlib.sha256(text).hexdigest()[:32])}",
        "version": 1,
        "metadata": metadata,
        "components": [component(one) for one in packages if one is not root],
        "dependencies": [
            {"ref": purl(one), "dependsOn": sorted(meant(name) for name in one.get("dependencies", []))}
            for one in packages
        ],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
