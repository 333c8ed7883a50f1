data "aws_region" "here" {}
data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}

data "aws_vpc" "connector" {
  id = var.vpc_id
}

locals {
  name            = "connector-${var.connector}"
  region          = data.aws_region.here.name
  account         = data.aws_caller_identity.here.account_id
  partition       = data.aws_partition.here.partition
  vpc_cidrs       = [for block in data.aws_vpc.connector.cidr_block_associations : block.cidr_block]
  vpc_ipv6_cidr   = data.aws_vpc.connector.ipv6_cidr_block
  controller_port = try(tonumber(regex(":([0-9]+)$", var.controller_url)[0]), 443)
  # One OTP for each instance, below it.
  parameter_path = "/connector/${var.connector}"

  user_data = templatefile("${path.module}/user-data.tftpl", {
    controller     = var.controller_url
    connector      = var.connector
    ca             = var.controller_ca_pem == null ? "" : indent(6, trimspace(var.controller_ca_pem))
    public_address = var.public_address
    wireguard_port = var.wireguard_port
  })
}

# The source/destination check stays on, as it is by default: the prefixes count as the interface's own addresses.
resource "aws_launch_template" "instance" {
  name_prefix            = "${local.name}-"
  image_id               = var.ami_id
  instance_type          = var.instance_type
  user_data              = base64encode(local.user_data)
  update_default_version = true
  tags                   = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  # IMDSv2 only, and not through a hop: users' packets are forwarded here.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = var.public_address
    security_groups             = [aws_security_group.instance.id]
    ipv4_prefix_count           = var.ipv4_prefix_count == 0 ? null : var.ipv4_prefix_count
    ipv6_prefix_count           = var.ipv6_prefix_count == 0 ? null : var.ipv6_prefix_count
    delete_on_termination       = true
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.tags, { Name = local.name })
  }

  tag_specifications {
    resource_type = "network-interface"
    tags          = merge(var.tags, { Name = local.name })
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = length(base64encode(local.user_data)) <= 21848
      error_message = "The user-data is longer than EC2's 16 KB: shorten controller_ca_pem to the CA alone."
    }
  }
}

resource "aws_autoscaling_group" "connector" {
  name                      = local.name
  min_size                  = var.min_size
  max_size                  = var.max_size
  vpc_zone_identifier       = var.subnet_ids
  health_check_type         = "EC2"
  wait_for_capacity_timeout = "20m"

  launch_template {
    id      = aws_launch_template.instance.id
    version = aws_launch_template.instance.latest_version
  }

  # In service means: enrolled, with its pools, Active. The hook says so; one that it hears nothing good of is replaced.
  initial_lifecycle_hook {
    name                 = "${local.name}-launch"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 900
    default_result       = "ABANDON"
  }

  # A new version of the launch template replaces instance by instance.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 90
    }
  }

  dynamic "tag" {
    for_each = var.tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  # The first instances are launched at once, and the hook must hear of them.
  depends_on = [
    aws_cloudwatch_event_target.hook,
    aws_iam_role_policy.hook,
    aws_iam_role_policy.instance,
    aws_lambda_permission.hook,
  ]
}

# The instance sees its target lifecycle state, drains, and its users move while it serves on. The function ends the wait
# when nobody is left.
resource "aws_autoscaling_lifecycle_hook" "terminate" {
  name                   = "${local.name}-terminate"
  autoscaling_group_name = aws_autoscaling_group.connector.name
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout      = var.drain_seconds
  default_result         = "CONTINUE"
}
