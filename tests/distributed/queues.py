"""Prints how many messages wait in each queue of the fleet's prefix, as JSON."""

import json
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
prefix = os.environ["PREFIX"]
waiting = {}
for name in sys.argv[1:]:
    waiting[name] = channel.queue_declare(f"{prefix}.{name}", passive=True).method.message_count
connection.close()
json.dump(waiting, sys.stdout)
