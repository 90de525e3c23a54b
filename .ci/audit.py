"""Known vulnerabilities among the pinned packages: `python .ci/audit.py`. Without a network it says so and passes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ACCEPTED: dict[str, str] = {}
"""Vulnerability id -> why it does not touch this project."""
COMMAND = (
    "pip-audit", "--requirement", "requirements.txt", "--disable-pip", "--require-hashes",
    "--progress-spinner", "off", "--format", "json",
)  # fmt: skip


def report() -> list[dict[str, Any]]:
    """pip-audit's result for each package; empty when no service could be reached."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "audit.json"
        done = subprocess.run([*COMMAND, "--output", str(file)], capture_output=True, text=True)
        if not file.is_file() or not file.stat().st_size:
            print(f"audit: not possible ({(done.stderr.strip().splitlines() or ['no answer'])[-1][:200]})")
            return []
        return json.loads(file.read_text())["dependencies"]


def main() -> None:
    """Print what was found; exit with 1 for a known vulnerability that is not on the accepted list."""
    packages = report()
    unknown = [package for package in packages if "skip_reason" in package]
    found = [
        f"{package['name']} {package['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions']) or 'no version yet'}"
        for package in packages
        for fault in package.get("vulns", [])
        if fault["id"] not in ACCEPTED
    ]
    print(
        f"audit: {len(packages) - len(unknown)} packages asked about, {len(unknown)} without an answer, {len(found)} faults"
    )
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
