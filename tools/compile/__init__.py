"""An XGBoost model file in, a proved repository entry and its bundle out."""
