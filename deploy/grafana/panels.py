"""The kinds of panels that the dashboards are made of.

A panel whose queries need a GPU says so with needs_gpu; its description then begins with GPU_ONLY, by which tests know
it.
"""

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models

GPU_ONLY = "Only GPUs. "
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")


def target(expr, legend, instant=False):
    query = prometheus.Dataquery().expr(expr).legend_format(legend)
    return query.instant() if instant else query.range()


def panel(kind, title, queries, unit, width, height=8, description="", instant=False, needs_gpu=False):
    """A panel with its queries, (expression, legend) each; a grid row has 24 columns."""
    made = kind.title(title).unit(unit).span(width).height(height).datasource(SOURCE)
    made = made.description((GPU_ONLY if needs_gpu else "") + description)
    for number, (expr, legend) in enumerate(queries):
        made = made.with_target(target(expr, legend, instant).ref_id(chr(ord("A") + number)))
    return made


def lines(title, queries, unit="short", width=8, stacked=False, minimum=0, **more):
    chart = timeseries.Panel().fill_opacity(30 if stacked else 5).line_width(1)
    chart = chart.show_points(common_models.VisibilityMode.NEVER)
    legend = common.VizLegendOptions().show_legend(True).display_mode(common_models.LegendDisplayMode.LIST)
    chart = chart.legend(legend.placement(common_models.LegendPlacement.BOTTOM).calcs([]))
    chart = chart.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    if minimum is not None:
        chart = chart.min(minimum)
    if stacked:
        chart = chart.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    return panel(chart, title, queries, unit, width, **more)


def number(title, queries, unit="short", width=4, show_name=False, **more):
    """The newest value, or, with show_name, the legend alone: for series whose value is always 1."""
    mode = common_models.BigValueTextMode.NAME if show_name else common_models.BigValueTextMode.AUTO
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    chart = (
        stat.Panel().text_mode(mode).reduce_options(reduced).graph_mode(common_models.BigValueGraphMode.NONE)
    )
    return panel(chart, title, queries, unit, width, height=4, instant=True, **more)


def bars(title, queries, unit, width=12, maximum=None, **more):
    gauge = bargauge.Panel().orientation(common_models.VizOrientation.VERTICAL).min(0)
    gauge = gauge.display_mode(common_models.BarGaugeDisplayMode.BASIC)
    gauge = gauge.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if maximum is not None:
        gauge = gauge.max(maximum)
    return panel(gauge, title, queries, unit, width, instant=True, **more)


def heat(title, queries, unit, width=12, **more):
    """One row of cells for each series: the value is the colour."""
    color = (
        heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Viridis").steps(64)
    )
    chart = heatmap.Panel().calculate(False).color(color).cell_values(heatmap.CellValues().unit(unit))
    # Grafana leaves cells out that are 0 or less unless it is told otherwise.
    chart = chart.filter_values(heatmap.FilterValueRange().le(-1)).show_tooltip()
    chart = chart.rows_frame(heatmap.RowsHeatmapOptions().layout(common_models.HeatmapCellLayout.AUTO))
    return panel(chart, title, queries, unit, width, height=12, **more)


def choice(name, label, query):
    variable = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(
        models.VariableSort.ALPHABETICAL_ASC
    )


def base(uid, title, description):
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    board = dashboard.Dashboard(title).uid(uid).description(description).tags(["dropbp"]).timezone("browser")
    board = board.refresh("15s").time("now-1h", "now").readonly().with_variable(source)
    links = dashboard.DashboardLink("DropBP").type(models.DashboardLinkType.DASHBOARDS).tags(["dropbp"])
    return board.link(links.as_dropdown(True).include_vars(True).keep_time(True))


def add(board, row, panels):
    board = board.with_row(dashboard.Row(row))
    for made in panels:
        board = board.with_panel(made)
    return board
