resource "aws_security_group" "instance" {
  name_prefix = "${local.name}-"
  description = "Instances of connector ${var.connector}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = local.name })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "devices" {
  for_each = toset(var.device_cidrs)

  security_group_id = aws_security_group.instance.id
  description       = "WireGuard from devices"
  cidr_ipv4         = each.value
  ip_protocol       = "udp"
  from_port         = var.wireguard_port
  to_port           = var.wireguard_port
}

resource "aws_vpc_security_group_ingress_rule" "devices_ipv6" {
  for_each = toset(var.device_ipv6_cidrs)

  security_group_id = aws_security_group.instance.id
  description       = "WireGuard from devices"
  cidr_ipv6         = each.value
  ip_protocol       = "udp"
  from_port         = var.wireguard_port
  to_port           = var.wireguard_port
}

resource "aws_vpc_security_group_ingress_rule" "server_initiated" {
  for_each = toset(var.server_initiated_cidrs)

  security_group_id = aws_security_group.instance.id
  description       = "Applications to users"
  cidr_ipv4         = each.value
  ip_protocol       = "-1"
}

# What the instance sends first to a device whose flow AWS has forgotten.
resource "aws_vpc_security_group_egress_rule" "devices" {
  for_each = toset(var.device_cidrs)

  security_group_id = aws_security_group.instance.id
  description       = "WireGuard to devices"
  cidr_ipv4         = each.value
  ip_protocol       = "udp"
  from_port         = 1
  to_port           = 65535
}

resource "aws_vpc_security_group_egress_rule" "devices_ipv6" {
  for_each = toset(var.device_ipv6_cidrs)

  security_group_id = aws_security_group.instance.id
  description       = "WireGuard to devices"
  cidr_ipv6         = each.value
  ip_protocol       = "udp"
  from_port         = 1
  to_port           = 65535
}

resource "aws_vpc_security_group_egress_rule" "controller" {
  for_each = toset(var.outbound_cidrs)

  security_group_id = aws_security_group.instance.id
  description       = "The controller"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.controller_port
  to_port           = local.controller_port
}

resource "aws_vpc_security_group_egress_rule" "aws_endpoints" {
  # Where the controller has port 443, its rule is the same, and AWS refuses a second one.
  for_each = local.controller_port == 443 ? toset([]) : toset(var.outbound_cidrs)

  security_group_id = aws_security_group.instance.id
  description       = "Parameter Store, for the OTP"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# The controller's resources say what a user reaches; these only how far users' packets get at all.
resource "aws_vpc_security_group_egress_rule" "applications" {
  for_each = toset(concat(local.vpc_cidrs, var.application_cidrs))

  security_group_id = aws_security_group.instance.id
  description       = "Users to applications"
  cidr_ipv4         = each.value
  ip_protocol       = "-1"
}

resource "aws_vpc_security_group_egress_rule" "applications_ipv6" {
  count = var.ipv6_prefix_count == 0 ? 0 : 1

  security_group_id = aws_security_group.instance.id
  description       = "Users to applications"
  cidr_ipv6         = local.vpc_ipv6_cidr
  ip_protocol       = "-1"
}
