import json

import pytest
from botocore.exceptions import EndpointConnectionError

from broker import TROUBLES, Broker, Lost, Message


def attributes(emulator):
    sqs = emulator.client("sqs")
    url = sqs.get_queue_url(QueueName="local_queue")["QueueUrl"]
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def test_ensure_makes_all_of_it(emulator, broker):
    topic = broker.ensure()
    assert topic.startswith("arn:aws:sns:eu-west-1:") and topic.endswith(":local_topic")
    found = attributes(emulator)
    assert (found["MaximumMessageSize"], found["MessageRetentionPeriod"]) == ("1024", "60")
    assert int(found["VisibilityTimeout"]) * 3 < int(found["MessageRetentionPeriod"])
    (statement,) = json.loads(found["Policy"])["Statement"]
    assert statement["Resource"] == found["QueueArn"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": topic}}
    sns = emulator.client("sns")
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    # Its ARN, not its URL.
    assert subscription["Endpoint"] == found["QueueArn"]
    arn = subscription["SubscriptionArn"]
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["RawMessageDelivery"] == "true"


def test_ensure_again_changes_nothing(emulator, broker):
    topic = broker.ensure()
    before = attributes(emulator)
    assert broker.ensure() == topic
    assert attributes(emulator) == before
    assert len(emulator.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]) == 1


def test_ensure_mends_a_queue_of_other_attributes(emulator, broker):
    emulator.client("sqs").create_queue(QueueName="local_queue", Attributes={"MessageRetentionPeriod": "3600"})
    broker.ensure()
    assert attributes(emulator)["MessageRetentionPeriod"] == "60"


def test_a_message_arrives_as_it_was_published(broker):
    topic = broker.ensure()
    identifier = broker.publish(topic, "Grüße …", work=2.5)
    assert identifier
    url = broker.find_queue()
    message = broker.receive(url)
    assert (message.text, message.work) == ("Grüße …", 2.5)
    broker.hide(url, message, 0)
    again = broker.receive(url)
    assert again.id == message.id
    broker.delete(url, again)


def test_a_wrapped_message_is_unwrapped(emulator, broker):
    topic = broker.ensure()
    sns = emulator.client("sns")
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    sns.set_subscription_attributes(
        SubscriptionArn=subscription["SubscriptionArn"], AttributeName="RawMessageDelivery", AttributeValue=""
    )
    identifier = broker.publish(topic, "hello", work=3)
    message = broker.receive(broker.find_queue())
    assert (message.id, message.text, message.work) == (identifier, "hello", 3)


@pytest.mark.parametrize(
    "body",
    [
        "plain",
        "{}",
        "[1]",
        '"Notification"',
        '{"Type": "Notification", "Message": "x"}',
        '{"Type": "Notification", "Message": "x", "MessageId": "y", "TopicArn": "arn:aws:sns:eu-west-1:1:other"}',
    ],
)
def test_what_is_no_envelope_is_the_message(body):
    message = Message({"ReceiptHandle": "r", "MessageId": "i", "Body": body})
    assert (message.id, message.text, message.work) == ("i", body, 0)


def test_work_that_is_no_number_is_none():
    attribute = {"work": {"StringValue": "soon", "DataType": "String"}}
    message = Message({"ReceiptHandle": "r", "MessageId": "i", "Body": "b", "MessageAttributes": attribute})
    assert message.work == 0


def test_what_the_emulator_lost_is_told_and_made_again(emulator, broker):
    broker.ensure()
    emulator.forget()
    with pytest.raises(Lost, match="local_queue"):
        broker.ensure()
    topic = broker.ensure()
    broker.publish(topic, "hello")
    assert broker.receive(broker.find_queue()).text == "hello"


def test_a_queue_deleted_by_hand_is_told_and_made_again(emulator, broker):
    broker.ensure()
    broker._sqs.delete_queue(QueueUrl=broker.find_queue())
    with pytest.raises(TROUBLES, match="does not exist"):
        broker.find_queue()
    with pytest.raises(Lost):
        broker.ensure()
    broker.publish(broker.ensure(), "hello")
    assert broker.receive(broker.find_queue()).text == "hello"


def test_a_topic_deleted_by_hand_is_made_again(emulator, broker):
    topic = broker.ensure()
    emulator.client("sns").delete_topic(TopicArn=topic)
    broker.publish(broker.ensure(), "hello")
    assert broker.receive(broker.find_queue()).text == "hello"


def test_trouble_is_told_as_such(failing):
    broker = Broker.connect()
    for answer in [(500, b"out of order"), (500, b""), (503, b"<html>"), (200, b"{}"), (200, b"<html>")]:
        failing.answer = answer
        for call in (broker.ensure, broker.find_queue):
            with pytest.raises(TROUBLES):
                call()


def test_an_endpoint_that_is_away_is_trouble(monkeypatch):
    # Port 9 of this machine: nobody listens there.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(EndpointConnectionError):
        Broker.connect().ensure()
