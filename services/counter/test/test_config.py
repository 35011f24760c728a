import unittest

from config import Config, read_config


class ConfigTest(unittest.TestCase):
    def test_defaults(self):
        self.assertEqual(read_config({}), Config())

    def test_all_set(self):
        environment = {
            "REDIS_HOST": "r",
            "REDIS_PORT": "1",
            "REDIS_PASSWORD": "p",
            "REDIS_TIMEOUT": "0.5",
            "COUNTER_KEY": "k",
        }
        self.assertEqual(read_config(environment), Config("r", 1, "p", 0.5, "k"))

    def test_what_cannot_be_is_named(self):
        for name, text in [("REDIS_PORT", "redis"), ("REDIS_PORT", "0"), ("REDIS_TIMEOUT", "-1"), ("REDIS_PORT", "6379.5")]:
            with self.assertRaisesRegex(ValueError, f"{name} is '{text}'"):
                read_config({name: text})

    def test_the_password_is_not_shown(self):
        self.assertNotIn("secret", repr(Config(redis_password="secret")))
