"""Checks what Kubernetes and compose are given, with PyPI's kubernetes-validate and PyYAML.

Arguments: files. A file whose name ends in `.yaml` is read as YAML. Documents with `kind` and `apiVersion` are checked
against the schemas of an old and a new Kubernetes, unknown fields included; those of an operator only have to be YAML.
Prints the kinds in order, as a JSON list.
"""

import json
import sys

import kubernetes_validate
import yaml

OF_OPERATORS = {"monitoring.coreos.com/v1"}

kinds = []
for path in sys.argv[1:]:
    with open(path) as file:
        documents = [document for document in yaml.safe_load_all(file) if document]
    for document in documents:
        if "kind" not in document or "apiVersion" not in document:
            continue
        kinds.append(document["kind"])
        if document["apiVersion"] in OF_OPERATORS:
            continue
        for version in ("1.29", kubernetes_validate.latest_version()):
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                sys.exit(f"{path}, {document['kind']}, Kubernetes {version}: {error.message}")
print(json.dumps(kinds))
