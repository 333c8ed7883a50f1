output "autoscaling_group_name" {
  description = "For scaling policies."
  value       = aws_autoscaling_group.connector.name
}

output "security_group_id" {
  description = "What applications let in: users come with addresses of these instances' prefixes."
  value       = aws_security_group.instance.id
}

output "instance_role_name" {
  description = "For policies of your own, as Session Manager's."
  value       = aws_iam_role.instance.name
}

output "hook_log_group" {
  description = "Where the hook says why an instance was not taken."
  value       = aws_cloudwatch_log_group.hook.name
}
