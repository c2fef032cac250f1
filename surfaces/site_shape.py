"""How a site looks on the wire: its title and icon come from the app.

Source: spec/http.md 3.9 and 6.1.
"""

from typing import Any

from store.app_record import AppRecord
from store.site_record import Site


def site_of(app: AppRecord) -> dict[str, Any]:
    """Return what a web app shows of itself."""
    icon = app.icon
    return {
        "title": app.name,
        "chat_color_theme": None,
        "chat_color_theme_inverted": False,
        "icon_type": icon.get("icon_type"),
        "icon": icon.get("icon"),
        "icon_background": icon.get("icon_background"),
        "icon_url": None,
        "description": app.description,
        "copyright": None,
        "privacy_policy": None,
        "custom_disclaimer": "",
        "default_language": "en-US",
        "prompt_public": False,
        "show_workflow_steps": True,
        "use_icon_as_answer_icon": bool(icon.get("use_icon_as_answer_icon")),
    }


def site_reply(app: AppRecord, site: Site, end_user_id: str | None) -> dict[str, Any]:
    """Return the site of an app as a reply; ``end_user_id`` is None where nobody has identified themselves."""
    return {
        "app_id": app.app_id,
        "end_user_id": end_user_id,
        "enable_site": site.is_open,
        "site": site_of(app),
        "model_config": None,
        "plan": "basic",
        "can_replace_logo": False,
        "custom_config": None,
    }
