"""Put a trained weights file into the package: copy it and write its manifest entry.

Run from a checkout: python -m infotok_cli.train.adopt runs/small.safetensors   (or `make adopt`)
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from safetensors import safe_open

import infotok_weights
from infotok_cli.atomic import atomic_path
from infotok_cli.model.weights import TRAINING_KEY, load_model


def adopt(source: Path) -> None:
    """Copy `source` into the weights package under its model's name."""
    loaded = load_model(source)
    with safe_open(source, framework="pt") as reader:
        training = json.loads(reader.metadata()[TRAINING_KEY])
    folder = Path(infotok_weights.__file__).parent
    file = f"infotok-{loaded.config.name}.safetensors"
    with atomic_path(folder / file, overwrite=True) as weights:
        shutil.copyfile(source, weights)
    manifest_file = folder / "manifest.json"
    manifest = json.loads(manifest_file.read_text()) if manifest_file.exists() else {}
    manifest[loaded.config.name] = {
        "file": file,
        "sha256": loaded.sha256,
        "licence": "Apache-2.0",
        "config": json.loads(loaded.config.to_json()),
        **loaded.fits.to_json(),
        "training": training,
    }
    with atomic_path(manifest_file, overwrite=True) as entries:
        entries.write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{file} {loaded.sha256}")


if __name__ == "__main__":
    adopt(Path(sys.argv[1]))
