"""What is on board, as a CycloneDX bill of materials (1.6, JSON) and as a list of licences to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_app.core.clock import utc_now
from edge_app.deploy.components import Component
from edge_app.deploy.licences import DECIDED

__all__ = ["Product", "licence_table", "sbom"]


@dataclass(frozen=True, slots=True)
class Product:
    """What the list is of: this program, and the model it brings."""

    version: str
    model: str = ""
    model_version: str = ""
    model_sha256: str = ""
    """Of the bundle's manifest, which names the hash of every other file."""

    @property
    def reference(self) -> str:
        """Return the program's package URL."""
        return f"pkg:pypi/msu-triage@{self.version}"


def sbom(product: Product, components: Sequence[Component]) -> str:
    """Return the bill of materials as JSON text; components in their order, so that two lists can be compared."""
    others = [component for component in components if component.name != "msu-triage"]
    references = {component.name: component.purl for component in others}
    own = next((component for component in components if component.name == "msu-triage"), None)
    direct = [references[name] for name in (own.needs if own else references) if name in references]
    dependencies = [{"ref": product.reference, "dependsOn": sorted(direct)}]
    dependencies += [
        {"ref": one.purl, "dependsOn": sorted(references[name] for name in one.needs if name in references)}
        for one in others
    ]
    body = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": utc_now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "msu deploy", "version": product.version}]},
            "component": {
                "type": "application",
                "bom-ref": product.reference,
                "name": "msu-triage",
                "version": product.version,
                "purl": product.reference,
                "licenses": [{"license": {"id": "MIT"}}],
            },
        },
        "components": [*map(_component, others), *_model(product)],
        "dependencies": dependencies,
    }
    return json.dumps(body, indent=1) + "\n"


def _component(one: Component) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "library",
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
    }
    if one.licence:
        # "BSD" of older metadata is no SPDX word.
        body["licenses"] = (
            [{"license": {"name": one.licence}}] if one.licence == "BSD" else [{"expression": one.licence}]
        )
    if one.sha256:
        body["hashes"] = [{"alg": "SHA-256", "content": one.sha256}]
        body["properties"] = [{"name": "msu:file", "value": one.file}]
    if one.home:
        body["externalReferences"] = [{"type": "website", "url": one.home}]
    return body


def _model(product: Product) -> list[dict[str, Any]]:
    if not product.model:
        return []
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{product.model}@{product.model_version}",
            "name": product.model,
            "version": product.model_version,
            "hashes": [{"alg": "SHA-256", "content": product.model_sha256}],
        }
    ]


def licence_table(components: Sequence[Component]) -> str:
    """Return a Markdown table of what is on board and under which licence."""
    rows = ["| package | version | licence | |", "|---|---|---|---|"]
    for one in components:
        why = DECIDED[one.name].why if one.name in DECIDED else ""
        rows.append(f"| {one.name} | {one.version} | {one.licence or '**not told**'} | {why} |")
    return (
        "# Licences of what is on board\n\nMade by `msu deploy`; the texts lie in each package.\n\n"
        + "\n".join(rows)
        + "\n"
    )
