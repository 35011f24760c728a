import json
import logging
import unittest

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from prometheus_client.openmetrics.exposition import generate_latest

import log
import metrics
import tracing
from config import Config, read_config

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def within(sampled: bool):
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return trace.use_span(NonRecordingSpan(SpanContext(int(TRACE, 16), int(SPAN, 16), True, flags)))


class ConfigTest(unittest.TestCase):
    def test_what_is_said_and_what_is_not(self):
        self.assertEqual(read_config({}), Config(slow=3.0))
        self.assertEqual(read_config({"SLOW_SECONDS": "0.5"}), Config(slow=0.5))

    def test_what_cannot_be_is_named(self):
        for text in ["long", "-1", "61", "nan"]:
            with self.assertRaisesRegex(ValueError, f"SLOW_SECONDS is '{text}'"):
                read_config({"SLOW_SECONDS": text})


class LogTest(unittest.TestCase):
    def line(self, **more):
        record = logging.LogRecord("x", logging.INFO, "", 0, "%d done", (1,), None)
        record.__dict__.update(more)
        return json.loads(log.Lines().format(record))

    def test_a_line_within_a_trace_has_its_ids(self):
        with within(True):
            line = self.line(fields={"ms": 3})
        self.assertEqual((line["trace_id"], line["span_id"]), (TRACE, SPAN))
        self.assertEqual((line["message"], line["ms"], line["service.name"]), ("1 done", 3, "business-logic"))

    def test_a_line_outside_of_one_has_none(self):
        self.assertNotIn("trace_id", self.line())

    def test_complaints_come_once_a_minute(self):
        seldom = log.OnceAMinute()
        self.assertEqual([seldom.filter(None), seldom.filter(None)], [True, False])
        seldom.next -= 61
        self.assertTrue(seldom.filter(None))


class MetricsTest(unittest.TestCase):
    def test_an_answer_has_an_exemplar_where_its_trace_is_kept(self):
        with within(True):
            metrics.observe("GET", "/kept", 200, 3.5)
        with within(False):
            metrics.observe("GET", "/unkept", 200, 3.5)
        metrics.observe("BREW", "/untraced", 418, 3.5)
        lines = generate_latest(metrics.registry).decode().splitlines()

        def bucket(route):
            return next(line for line in lines if f'http_route="{route}"' in line and 'le="5.0"' in line)

        for part in [f'trace_id="{TRACE}"', f'span_id="{SPAN}"', "} 3.5 "]:
            self.assertIn(part, bucket("/kept").split(" # ")[1])
        self.assertNotIn("#", bucket("/unkept"))
        self.assertNotIn("#", bucket("/untraced"))
        self.assertIn('http_request_method="_OTHER"', bucket("/untraced"))


class PropagationTest(unittest.TestCase):
    def extracted(self, headers):
        return trace.get_current_span(tracing.W3COrB3().extract(headers)).get_span_context()

    def test_b3_is_accepted_and_w3c_goes_before_it(self):
        several = {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"}
        other = "1" * 32
        for headers, expected in [
            ({"b3": f"{TRACE}-{SPAN}-1"}, TRACE),
            (several, TRACE),
            (several | {"traceparent": f"00-{other}-{SPAN}-01"}, other),
            ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, TRACE),
        ]:
            span = self.extracted(headers)
            self.assertEqual((trace.format_trace_id(span.trace_id), span.trace_flags.sampled), (expected, True), headers)
        self.assertFalse(self.extracted({}).is_valid)
        self.assertFalse(self.extracted({"b3": "nonsense", "traceparent": "more of it"}).is_valid)

    def test_w3c_is_passed_on_and_nothing_else(self):
        headers = {}
        with within(True):
            tracing.W3COrB3().inject(headers)
        self.assertEqual(headers, {"traceparent": f"00-{TRACE}-{SPAN}-01"})
