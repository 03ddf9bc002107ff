"""The overview: from one page, whether conversions reach Meta, and if not, what is in the way."""

from dashboards.flow import flow
from dashboards.kafka import kafka
from dashboards.meta_api import meta_api
from dashboards.page import Row, dashboard
from dashboards.panels import Json
from dashboards.quality import credentials, quality
from dashboards.runtime import runtime
from dashboards.service_level import service_level


def overview() -> Json:
    """The dashboard, as Grafana's JSON."""
    return dashboard(
        uid="conversions-overview",
        title="Conversions consumer: overview",
        description="Kafka → Meta's Conversions API: service level, flow, Meta, Kafka, data"
        " quality, credentials, runtime."
        " From the top: the first row that is not green says where to look.",
        rows=(
            Row("Service level", service_level()),
            Row("Flow", flow()),
            Row("Meta's API", meta_api()),
            Row("Kafka", kafka()),
            Row("Data quality", quality()),
            Row("Credentials", credentials()),
            Row("Runtime", runtime()),
        ),
        others=(("conversions-dead-letters", "Dead letters & replay"),),
    )
