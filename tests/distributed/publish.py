"""Publishes standard input, as it is, to an exchange of the fleet. Without a message id: what it is must be in it."""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
exchange = f"{os.environ['PREFIX']}.{sys.argv[1]}"
body = sys.stdin.buffer.read()
properties = pika.BasicProperties(content_type="application/cloudevents+json", delivery_mode=2)
channel.basic_publish(exchange, "", body, properties, mandatory=True)
connection.close()
