"""Asks for a table again and again, each time as another job, and prints the seconds from each request to its completion."""

import json
import os
import sys
import time

import pika

source, destination, table, times = sys.argv[1:]
prefix = os.environ["PREFIX"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
answers = channel.queue_declare("", exclusive=True).method.queue
channel.queue_bind(answers, f"{prefix}.events", "extraction.#")
took = []
for number in range(int(times)):
    data = {"source": source, "destination": destination, "tables": [{"name": table}], "chunk_bytes": 1_000_000 + number}
    request = {"specversion": "1.0", "id": f"latency-{number}", "source": "/tests", "data": data}
    request["type"] = "io.sqlextract.extraction.requested.v1"
    began = time.monotonic()
    channel.basic_publish(f"{prefix}.requests", "", json.dumps(request).encode(), pika.BasicProperties(delivery_mode=2))
    for _, _, body in channel.consume(answers, auto_ack=True, inactivity_timeout=60):
        event = json.loads(body)
        if event["data"].get("request") != request["id"]:
            continue
        if event["type"] == "io.sqlextract.extraction.completed.v1":
            break
        assert event["type"].split(".")[3] not in ("rejected", "failed", "cancelled"), body
    took.append(time.monotonic() - began)
connection.close()
print(json.dumps(took))
