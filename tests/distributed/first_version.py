"""Turns the messages that wait in a queue of the fleet into those of the first version and of one after this, by turns:
the first have only the fields of the golden message, the others one that nobody knows. Prints how many there were."""

import json
import os
import sys

import pika

queue, golden = sys.argv[1:]
known = json.load(open(golden))
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
name = f"{os.environ['PREFIX']}.{queue}"
taken = []
while (got := channel.basic_get(name))[0]:
    taken.append(got)


def only(body, known):
    """The fields that the first version knew, at every depth that it wrote itself."""
    if not (isinstance(body, dict) and isinstance(known, dict)):
        return body
    return {key: only(value, known[key]) for key, value in body.items() if key in known}


for number, (method, properties, body) in enumerate(taken):
    message = json.loads(body)
    message = only(message, known) if number % 2 == 0 else message | {"a_later_field": {"of": ["a", "later", "version"]}}
    channel.basic_publish("", name, json.dumps(message).encode(), properties, mandatory=True)
    channel.basic_ack(method.delivery_tag)
connection.close()
print(len(taken))
