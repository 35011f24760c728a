"""The service: Django without a database, sessions or templates."""

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from config import Config, read_config


def create_app(config: Config | None = None):
    """A WSGI application. Django's settings are those of the process: there is one of them."""
    settings.configure(
        # It sees requests from inside the cluster alone, under whatever name they come.
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="views",
        MIDDLEWARE=["observed.Observed"],
        # gunicorn.conf.py says where lines go.
        LOGGING_CONFIG=None,
        # Nothing here is signed, but Django wants one.
        SECRET_KEY=secrets.token_urlsafe(50),
        USE_I18N=False,
        SLOW_SECONDS=(config or read_config()).slow,
    )
    return get_wsgi_application()
