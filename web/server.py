"""What holds for every request, whatever its view."""

from faust.web.base import BlueprintManager

from app.main import app
from web.problems import problems

app.web.blueprints = BlueprintManager()  # none of Faust's own pages: they show what is in the tables
app.web.web_app.middlewares.append(problems)
