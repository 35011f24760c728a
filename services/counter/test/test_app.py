import time
import unittest

from app import create_app
from config import Config
from test.fake_redis import FakeRedis


class AppTest(unittest.TestCase):
    def setUp(self):
        self.redis = FakeRedis(password="secret")
        self.addCleanup(self.redis.stop)
        config = Config(redis_host="127.0.0.1", redis_port=self.redis.port, redis_password="secret", redis_timeout=0.3)
        self.client = create_app(config).test_client()

    def get(self, path):
        answer = self.client.get(path)
        return answer.status_code, answer.get_data(as_text=True)

    def test_each_visit_is_counted_in_one_step(self):
        self.assertEqual(self.get("/"), (200, "Holla!  we have hit 1 times"))
        self.assertEqual(self.get("/"), (200, "Holla!  we have hit 2 times"))
        self.assertEqual(self.redis.commands.count("INCR"), 2)
        self.assertEqual(self.redis.counts, {"visitor": 2})

    def test_probes_scrapes_and_headers_alone_are_not_counted(self):
        for path in ["/health", "/ready", "/alive", "/metrics", "/nowhere"]:
            self.get(path)
        self.client.head("/")
        self.client.post("/")
        self.assertEqual(self.redis.counts, {})

    def test_health_says_up(self):
        answer = self.client.get("/health")
        self.assertEqual((answer.status_code, answer.get_json()), (200, {"status": "UP"}))

    def assert_down(self, reason):
        for path in ["/health", "/"]:
            answer = self.client.get(path)
            self.assertEqual((answer.status_code, answer.get_json()["status"]), (503, "DOWN"), path)
            self.assertIn(f"Redis at 127.0.0.1:{self.redis.port}", answer.get_json()["reason"])
            self.assertIn(reason, answer.get_json()["reason"])

    def test_redis_is_away_and_comes_back(self):
        self.get("/")
        self.redis.stop()
        self.assert_down("Connection refused")
        self.assertEqual(self.get("/alive")[0], 200)
        self.redis.start()
        self.assertEqual(self.get("/health")[0], 200)
        self.assertEqual(self.get("/"), (200, "Holla!  we have hit 2 times"))

    def test_redis_restarted_between_two_visits_costs_none_of_them(self):
        self.get("/")
        self.redis.stop()
        self.redis.start()
        self.assertEqual(self.get("/"), (200, "Holla!  we have hit 2 times"))

    def test_redis_that_hangs_is_waited_for_once(self):
        self.redis.delay = 2
        began = time.monotonic()
        self.assertEqual(self.get("/health")[0], 503)
        self.assertLess(time.monotonic() - began, 1)
        before = self.redis.commands.count("INCR")
        self.assertEqual(self.get("/")[0], 503)
        # Sent again it could count twice.
        self.assertEqual(self.redis.commands.count("INCR"), before + 1)

    def test_redis_that_takes_no_writes_is_down(self):
        for error in ["LOADING Redis is loading the dataset in memory", "MISCONF Errors writing to the AOF file: full"]:
            self.redis.error = error
            self.assert_down(error.split()[1])
        self.redis.error = None
        self.redis.role = "slave"
        self.assert_down("replica")

    def test_wrong_password_is_named(self):
        config = Config(redis_host="127.0.0.1", redis_port=self.redis.port, redis_password="wrong")
        answer = create_app(config).test_client().get("/health")
        self.assertEqual(answer.status_code, 503)
        self.assertIn("invalid password", answer.get_json()["reason"])

    def test_ready_once_redis_was_reached_and_from_then_on(self):
        self.redis.stop()
        self.assertEqual(self.get("/ready")[0], 503)
        self.redis.start()
        self.assertEqual(self.get("/ready")[0], 200)
        self.redis.stop()
        self.assertEqual(self.get("/ready")[0], 200)

    def test_metrics_count_visits_by_route_and_leave_out_probes(self):
        self.get("/")
        self.get("/health")
        self.get("/nowhere/at/all")
        status, text = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn('http_route="/"', text)
        self.assertNotIn("/health", text)
        self.assertNotIn("nowhere", text)
        self.assertRegex(text, r"counter_visits_total [1-9]")
