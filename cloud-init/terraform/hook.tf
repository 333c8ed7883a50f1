# A function that hears of each launch and each end of an instance in the group.

data "archive_file" "hook" {
  type        = "zip"
  output_path = "${path.root}/.terraform/${local.name}-hook.zip"

  source {
    filename = "index.mjs"
    content  = file("${path.module}/hook/index.mjs")
  }

  source {
    filename = "controller.mjs"
    content  = file("${path.module}/hook/controller.mjs")
  }

  source {
    filename = "ca.pem"
    content  = var.controller_ca_pem == null ? "" : var.controller_ca_pem
  }
}

resource "aws_lambda_function" "hook" {
  function_name    = "${local.name}-hook"
  description      = "Gives each instance of connector ${var.connector} an OTP and its pools, waits for its drain, and removes it when it is gone"
  role             = aws_iam_role.hook.arn
  runtime          = "nodejs22.x"
  handler          = "index.handler"
  filename         = data.archive_file.hook.output_path
  source_code_hash = data.archive_file.hook.output_base64sha256
  memory_size      = 256
  timeout          = 840
  tags             = var.tags

  environment {
    variables = {
      CONNECTOR          = var.connector
      CONTROLLER_URL     = var.controller_url
      ADMIN_TOKEN_SECRET = var.admin_token_secret_arn
      PARAMETER_PATH     = local.parameter_path
      PARAMETER_KEY      = var.kms_key_arn == null ? "" : var.kms_key_arn
      POOL               = var.pool == null ? "" : var.pool
      IPV4_PREFIX_COUNT  = var.ipv4_prefix_count
      IPV6_PREFIX_COUNT  = var.ipv6_prefix_count
    }
  }

  dynamic "vpc_config" {
    for_each = length(var.hook_subnet_ids) == 0 ? [] : [1]

    content {
      subnet_ids         = var.hook_subnet_ids
      security_group_ids = var.hook_security_group_ids
    }
  }

  depends_on = [aws_cloudwatch_log_group.hook]
}

resource "aws_cloudwatch_log_group" "hook" {
  name              = "/aws/lambda/${local.name}-hook"
  retention_in_days = 30
  tags              = var.tags
}

resource "aws_cloudwatch_event_rule" "hook" {
  name        = "${local.name}-hook"
  description = "Instances of connector ${var.connector} that come and go"
  tags        = var.tags

  event_pattern = jsonencode({
    source = ["aws.autoscaling"]
    detail-type = [
      "EC2 Instance-launch Lifecycle Action",
      "EC2 Instance-terminate Lifecycle Action",
      "EC2 Instance Launch Unsuccessful",
      "EC2 Instance Terminate Successful",
    ]
    detail = { AutoScalingGroupName = [local.name] }
  })
}

resource "aws_cloudwatch_event_target" "hook" {
  rule = aws_cloudwatch_event_rule.hook.name
  arn  = aws_lambda_function.hook.arn
}

resource "aws_lambda_permission" "hook" {
  statement_id  = "events"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.hook.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.hook.arn
}

data "aws_iam_policy_document" "hook_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "hook" {
  statement {
    sid       = "ReadAdminToken"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.admin_token_secret_arn]
  }

  statement {
    sid       = "HandOutOtps"
    actions   = ["ssm:PutParameter", "ssm:DeleteParameter"]
    resources = ["arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${local.parameter_path}/*"]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      sid       = "EncryptOtps"
      actions   = ["kms:Encrypt"]
      resources = [statement.value]
    }
  }

  statement {
    sid       = "EndTheWait"
    actions   = ["autoscaling:CompleteLifecycleAction"]
    resources = ["arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.name}"]
  }

  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.hook.arn}:*"]
  }
}

resource "aws_iam_role" "hook" {
  name_prefix        = "${substr("${local.name}-hook", 0, 37)}-"
  assume_role_policy = data.aws_iam_policy_document.hook_trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "hook" {
  name   = "hook"
  role   = aws_iam_role.hook.id
  policy = data.aws_iam_policy_document.hook.json
}

resource "aws_iam_role_policy_attachment" "hook_vpc" {
  count = length(var.hook_subnet_ids) == 0 ? 0 : 1

  role       = aws_iam_role.hook.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}
