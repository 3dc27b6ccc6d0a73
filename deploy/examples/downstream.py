"""A downstream loader: on `ingest.generated` for PostgreSQL it runs the script that it receives.

    AMQP_URL=amqp://… WAREHOUSE_URL=postgres://… python downstream.py

The script loads once however often it is run, so that a message that comes twice does no harm. It reads the chunks
through `sqlextract cat`, which must be in the PATH and reach the destination. JOBS ends the loader after so many scripts.
"""

import hashlib
import json
import os
import subprocess
import sys

import pika

prefix = os.environ.get("PREFIX", "sqlextract")
wanted = int(os.environ.get("JOBS", "0"))
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
# Durable: what is announced while the loader is away waits for it.
queue = f"{prefix}.loader.postgres"
channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
channel.queue_bind(queue, f"{prefix}.events", "extraction.completed.#")
channel.queue_bind(queue, f"{prefix}.events", "ingest.generated.#")
channel.basic_qos(prefetch_count=1)
print("listening", flush=True)

loaded = 0
for method, _, body in channel.consume(queue):
    event = json.loads(body)
    data = event["data"]
    if event["type"] == "io.sqlextract.extraction.completed.v1":
        print("complete:", data["job"], data["totals"]["rows"], "rows", flush=True)
    elif data.get("target") == "postgres" and "script" in data:
        script = data["script"].encode()
        assert hashlib.sha256(script).hexdigest() == data["sha256"], "the script is not the one that was announced"
        psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", os.environ["WAREHOUSE_URL"]]
        subprocess.run(psql, input=script, check=True, stdout=sys.stderr)
        print("loaded:", data["job"], flush=True)
        loaded += 1
    # Acknowledged after the load: a crash before this repeats it.
    channel.basic_ack(method.delivery_tag)
    if wanted and loaded >= wanted:
        break
connection.close()
