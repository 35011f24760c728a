"""The topic, the queue, and the subscription that leads from one to the other."""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

TOPIC = "local_topic"
QUEUE = "local_queue"

MESSAGE_BYTES = 1024
RETENTION_SECONDS = 60
# Well below the retention: what a consumer had in hand when it died is delivered again before it would be thrown away.
VISIBILITY_SECONDS = 10
# How long a request for messages waits for the first one.
POLL_SECONDS = 5

# The number of seconds that the handling of a message takes.
WORK = "work"


class BadAnswer(Exception):
    """An answer without what it should contain: whatever is there is no SNS or SQS."""


class Lost(Exception):
    """The queue was there and is gone. It is made again, but not before that has been told for a while."""

    pause = 5


# Whatever can go wrong between us and the broker; anything else is a mistake in this program.
TROUBLES = (BotoCoreError, ClientError, ResponseParserError, BadAnswer, Lost)


class Broker:
    def __init__(self, sns, sqs):
        self._sns = sns
        self._sqs = sqs
        self._made = False

    @classmethod
    def connect(cls):
        """Uses the variables of the SDK: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …"""
        # Other than all other SDKs, Python's does not read AWS_REGION.
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        config = Config(
            # A failure is told by /health, and tried again by the worker.
            retries={"total_max_attempts": 1},
            connect_timeout=2,
            read_timeout=POLL_SECONDS + 10,
        )
        sns, sqs = (boto3.client(name, region_name=region, config=config) for name in ("sns", "sqs"))
        return cls(sns, sqs)

    def ensure(self):
        """Makes what is missing and mends what differs, so that a message which is published arrives in the queue.

        Returns the topic. Nothing is taken for granted from one call to the next: an emulator forgets all when it
        restarts, and a queue can be deleted by hand.
        """
        topic = _field(self._sns.create_topic(Name=TOPIC), "TopicArn")
        try:
            url = self.find_queue()
        except self._sqs.exceptions.QueueDoesNotExist:
            if self._made:
                self._made = False
                raise Lost(f"the queue {QUEUE} is gone, it will be made again in {Lost.pause} s") from None
            url = _field(self._sqs.create_queue(QueueName=QUEUE), "QueueUrl")
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found = _field(answer, "Attributes")
        queue = _field(found, "QueueArn")
        changes = {name: value for name, value in _wanted(topic, queue).items() if not _same(found.get(name), value)}
        if changes:
            self._sqs.set_queue_attributes(QueueUrl=url, Attributes=changes)
        # By the queue's ARN, not its URL. Where there is such a subscription, it is the answer.
        answer = self._sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, ReturnSubscriptionArn=True)
        # Without the envelope, which leaves hardly any of the queue's 1024 bytes for the message.
        self._sns.set_subscription_attributes(
            SubscriptionArn=_field(answer, "SubscriptionArn"),
            AttributeName="RawMessageDelivery",
            AttributeValue="true",
        )
        self._made = True
        return topic

    def publish(self, topic, text, work=0):
        """Returns the id that SNS gave to the message."""
        attributes = {WORK: {"DataType": "Number", "StringValue": f"{work:g}"}} if work else {}
        return _field(self._sns.publish(TopicArn=topic, Message=text, MessageAttributes=attributes), "MessageId")

    def find_queue(self):
        return _field(self._sqs.get_queue_url(QueueName=QUEUE), "QueueUrl")

    def receive(self, url):
        """The next message, or None when none came."""
        answer = self._sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=POLL_SECONDS,
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages") or []
        return Message(messages[0]) if messages else None

    def hide(self, url, message, seconds):
        """Nobody gets the message for so long. With 0 it can be delivered again at once."""
        self._sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds)

    def delete(self, url, message):
        self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message.receipt)


class Message:
    """A message as it was published, whether it came as it is or within the envelope of SNS."""

    def __init__(self, raw):
        self.receipt = _field(raw, "ReceiptHandle")
        self.id = _field(raw, "MessageId")
        self.text = _field(raw, "Body")
        attributes = {name: value.get("StringValue") for name, value in raw.get("MessageAttributes", {}).items()}
        envelope = _envelope(self.text)
        if envelope:
            self.id = envelope["MessageId"]
            self.text = envelope["Message"]
            attributes = {name: value.get("Value") for name, value in envelope.get("MessageAttributes", {}).items()}
        self.work = _seconds(attributes.get(WORK))


def _envelope(body):
    """What SNS wraps messages in unless the subscription says RawMessageDelivery; None: the body is the message."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    is_envelope = (
        isinstance(parsed, dict)
        and parsed.get("Type") == "Notification"
        and str(parsed.get("TopicArn", "")).endswith(f":{TOPIC}")
        and isinstance(parsed.get("MessageId"), str)
        and isinstance(parsed.get("Message"), str)
    )
    return parsed if is_envelope else None


def _wanted(topic, queue):
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }
        ],
    }
    return {
        "MaximumMessageSize": str(MESSAGE_BYTES),
        "MessageRetentionPeriod": str(RETENTION_SECONDS),
        "VisibilityTimeout": str(VISIBILITY_SECONDS),
        "Policy": json.dumps(policy),
    }


def _same(found, wanted):
    """Of a policy, whatever its spelling."""
    try:
        return json.loads(found) == json.loads(wanted)
    except (TypeError, ValueError):
        return found == wanted


def _seconds(text):
    try:
        return max(0.0, float(text))
    except (TypeError, ValueError):
        return 0.0


def _field(answer, name):
    if not isinstance(answer, dict) or name not in answer:
        raise BadAnswer(f"the endpoint's answer has no {name}")
    return answer[name]
