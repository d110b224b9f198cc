"""What operators see: metrics, logs, and live sessions in CloudWatch."""
