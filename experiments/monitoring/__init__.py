"""What a training tells people: epoch log, example overlays, MLflow model entries, error messages. Changes no result."""
