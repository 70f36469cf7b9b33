"""Find out whether a package index answers. Runs before anything is installed."""

import http.client
import queue
import ssl
import threading
import urllib.error
import urllib.request

PROBE_SECONDS = 5


def find_obstacle(url: str, env: "dict[str, str]") -> str:
    """Return why no answer came from a package index in time; empty where one came."""
    answers: queue.Queue[str] = queue.Queue()

    def ask() -> None:
        authorities = env.get("PIP_CERT") or env.get("REQUESTS_CA_BUNDLE")
        try:
            context = ssl.create_default_context(cafile=authorities)
            urllib.request.urlopen(url, timeout=PROBE_SECONDS, context=context).close()
        except (urllib.error.HTTPError, http.client.HTTPException):
            answers.put("")  # an answer, if no good one
        except (OSError, ValueError) as error:
            answers.put(str(getattr(error, "reason", error)))
        else:
            answers.put("")

    # a look-up of the name knows no time-out
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=PROBE_SECONDS)
    except queue.Empty:
        return f"no answer in {PROBE_SECONDS} s"
