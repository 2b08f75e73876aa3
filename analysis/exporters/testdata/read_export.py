"""Reads an export with the tracker's own code: read_export.py tensorboard|mlflow DIR.

Prints a JSON list of Series, Step, Value. Exits with 3 where the tracker is not installed.
"""
import glob
import json
import sys

kind, directory = sys.argv[1:]
points = []
try:
    if kind == "tensorboard":
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

        for path in sorted(glob.glob(directory + "/*tfevents*")):
            for event in LegacyEventFileLoader(path).Load():
                for value in event.summary.value:
                    points.append({"Series": value.tag, "Step": event.step, "Value": value.simple_value})
    else:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri="file:" + directory)
        (experiment,) = [e for e in client.search_experiments() if e.name == "pith"]
        (run,) = client.search_runs([experiment.experiment_id])
        assert run.info.run_name == "demo" and run.data.params["rewards.method"] == "dler", run
        for name in run.data.metrics:
            for metric in client.get_metric_history(run.info.run_id, name):
                points.append({"Series": name, "Step": metric.step, "Value": metric.value})
except ImportError as missing:
    print(missing, file=sys.stderr)
    sys.exit(3)
json.dump(points, sys.stdout)
