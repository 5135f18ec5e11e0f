"""Lints a Helm chart with Helm's own library, and writes its manifests with several values: lint_chart.py CHART FOLDER."""

import pathlib
import sys

from helm_python.chart import Chart, lint

CASES = {
    "default": {},
    "all": {
        "replicas": 3,
        "image": {"repository": "registry.test/clientele", "tag": "1.2.3"},
        "imagePullSecrets": [{"name": "registry"}],
        "environmentSecret": "clientele-secrets",
        "config": '[clients]\nid_pattern = "C-######"\n',
        "service": {"type": "LoadBalancer", "port": 80},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "bank", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "podAnnotations": {"prometheus.io/scrape": "true"},
    },
}
REFUSED = [{"replicas": 0}, {"service": {"port": 65536}}, {"config": {"log": {}}}, {"image": {"name": "clientele"}}]

path, folder = sys.argv[1], pathlib.Path(sys.argv[2])
for name, values in CASES.items():
    report = lint(path, values, strict=True)
    # Severity 1 is information, such as an icon that is recommended.
    found = [message["error"] for message in report["messages"] if message["severity"] > 1] + report["errors"]
    assert not found, found
with Chart.load(path) as chart:
    for name, values in CASES.items():
        for template, manifest in chart.render(values, name="bank", namespace="clients").items():
            if template.endswith(".yaml"):
                (folder / f"{name}-{pathlib.Path(template).name}").write_text(manifest)
    for values in REFUSED:
        try:
            chart.render(values, name="bank")
        except Exception as error:  # noqa: BLE001
            assert "values don't meet the specifications of the schema" in str(error), error
        else:
            raise AssertionError(f"accepted: {values}")
