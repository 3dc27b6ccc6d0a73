"""An upstream system: asks for an extraction, and waits for a clear yes or no, then for the outcome.

    AMQP_URL=amqp://… python upstream.py SOURCE DESTINATION TABLE [TARGET]

The id is the upstream's own. Sending the same id again is safe: it is the same job.
"""

import json
import os
import sys
import uuid

import pika

source, destination, table, *targets = sys.argv[1:]
prefix = os.environ.get("PREFIX", "sqlextract")
request = {
    "specversion": "1.0",
    "id": os.environ.get("REQUEST_ID", str(uuid.uuid4())),
    "source": "/examples/upstream",
    "type": "io.sqlextract.extraction.requested.v1",
    "datacontenttype": "application/json",
    "data": {
        "source": source,
        "destination": destination,
        "tables": [{"name": table}],
        "targets": [{"platform": target} for target in targets],
    },
}

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()

# Listen before asking: no answer can be missed.
answers = channel.queue_declare("", exclusive=True).method.queue
for pattern in ("extraction.accepted.#", "extraction.rejected.#", "extraction.completed.#", "extraction.failed.#", "extraction.cancelled.#"):
    channel.queue_bind(answers, f"{prefix}.events", pattern)

properties = pika.BasicProperties(
    content_type="application/cloudevents+json", delivery_mode=2, message_id=request["id"]
)
channel.basic_publish(f"{prefix}.requests", "", json.dumps(request).encode(), properties, mandatory=True)

# The same event may come twice; its id tells.
seen = set()
for method, _, body in channel.consume(answers, inactivity_timeout=300):
    if method is None:
        sys.exit("nobody has answered within five minutes")
    event = json.loads(body)
    channel.basic_ack(method.delivery_tag)
    if event["data"].get("request") != request["id"] or event["id"] in seen:
        continue
    seen.add(event["id"])
    kind = event["type"].removeprefix("io.sqlextract.extraction.").removesuffix(".v1")
    print(kind, event["data"]["job"], flush=True)
    if kind == "completed":
        break
    if kind != "accepted":
        sys.exit("; ".join(failure["message"] for failure in event["data"].get("failures", [])) or kind)
connection.close()
