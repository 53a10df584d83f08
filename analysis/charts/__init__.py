"""Charts of the page as Vega-Lite: they answer where scripts run, and have a picture of each where not."""
