"""What holds for every request, whatever its view."""

from app.main import app
from web.problems import problems

app.web.web_app.middlewares.append(problems)
