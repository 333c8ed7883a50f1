variable "connector" {
  description = "The connector's name in the controller."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$", var.connector))
    error_message = "A connector that AWS names things after has 1 to 32 letters, digits, dots, hyphens and underscores."
  }
}

variable "controller_url" {
  description = "The controller as instances and the hook reach it: https://HOST or https://HOST:PORT."
  type        = string

  validation {
    condition     = can(regex("^https://[^/:@\\s]+(:[0-9]{1,5})?$", var.controller_url))
    error_message = "Write https://HOST or https://HOST:PORT, without a path."
  }
}

variable "controller_ca_pem" {
  description = "PEM of the only CAs to trust for the controller; null: the system's."
  type        = string
  default     = null

  validation {
    condition     = var.controller_ca_pem == null || can(regex("-----BEGIN CERTIFICATE-----", var.controller_ca_pem))
    error_message = "This is no certificate in PEM form."
  }
}

variable "admin_token_secret_arn" {
  description = "ARN of the secret in Secrets Manager that holds an admin token of the controller, as text. The hook alone reads it."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:", var.admin_token_secret_arn))
    error_message = "Write the secret's ARN."
  }
}

variable "pool" {
  description = "Pool that gets all prefixes of each instance; null: an administrator configures the pools, and instances count as healthy once enrolled."
  type        = string
  default     = null
}

variable "ami_id" {
  description = "AMI with the connector's package."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "Write an AMI's id, ami-…."
  }
}

variable "instance_type" {
  description = "Instance type; built on Nitro, as prefixes need it."
  type        = string
  default     = "c6i.xlarge"
}

variable "min_size" {
  description = "Least number of instances."
  type        = number
  default     = 2

  validation {
    condition     = var.min_size >= 0 && var.min_size <= 64 && floor(var.min_size) == var.min_size
    error_message = "A connector has at most 64 instances."
  }
}

variable "max_size" {
  description = "Largest number of instances, 64 at most."
  type        = number
  default     = 4

  validation {
    condition     = var.max_size >= 1 && var.max_size <= 64 && floor(var.max_size) == var.max_size
    error_message = "A connector has at most 64 instances."
  }

  validation {
    condition     = var.max_size >= var.min_size
    error_message = "max_size is less than min_size."
  }
}

variable "vpc_id" {
  description = "VPC of the connector: all its instances are in one."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets to launch instances in, with room for their prefixes."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Name at least one subnet."
  }
}

variable "ipv4_prefix_count" {
  description = "How many /28 each instance gets: 16 users' addresses each."
  type        = number
  default     = 4

  validation {
    condition     = var.ipv4_prefix_count >= 0 && var.ipv4_prefix_count <= 49 && floor(var.ipv4_prefix_count) == var.ipv4_prefix_count
    error_message = "An interface has at most 50 address slots, and its own address takes one."
  }
}

variable "ipv6_prefix_count" {
  description = "How many /80 each instance gets; 0 where the subnets have no IPv6."
  type        = number
  default     = 0

  validation {
    condition     = contains([0, 1], var.ipv6_prefix_count)
    error_message = "One /80 has more addresses than any instance has users."
  }

  validation {
    condition     = var.ipv4_prefix_count + var.ipv6_prefix_count > 0
    error_message = "Without a prefix no instance becomes Active."
  }
}

variable "public_address" {
  description = "Give each instance a public IPv4 address, which devices dial. Otherwise they dial its private one."
  type        = bool
  default     = false
}

variable "wireguard_port" {
  description = "UDP port devices dial."
  type        = number
  default     = 51820

  validation {
    condition     = var.wireguard_port >= 1 && var.wireguard_port <= 65535
    error_message = "Write a UDP port from 1 to 65535."
  }
}

variable "device_cidrs" {
  description = "Where users' devices dial from, IPv4."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "device_ipv6_cidrs" {
  description = "Where users' devices dial from, IPv6."
  type        = list(string)
  default     = []
}

variable "outbound_cidrs" {
  description = "Where the controller and AWS's endpoints (Parameter Store) are, IPv4."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "application_cidrs" {
  description = "Where users' packets may go beside the VPC, IPv4: peered VPCs, on-premises."
  type        = list(string)
  default     = []
}

variable "server_initiated_cidrs" {
  description = "Applications that may open connections to users, IPv4. The controller's resources decide about each."
  type        = list(string)
  default     = []
}

variable "drain_seconds" {
  description = "How long an instance that is to be terminated has for its users to move."
  type        = number
  default     = 120

  validation {
    condition     = var.drain_seconds >= 30 && var.drain_seconds <= 7200
    error_message = "AWS takes 30 to 7200 seconds."
  }
}

variable "kms_key_arn" {
  description = "Key of the account's own for the OTPs in Parameter Store; null: AWS's key for Parameter Store."
  type        = string
  default     = null
}

variable "hook_subnet_ids" {
  description = "Subnets for the hook's function, where the controller is reached from the VPC only; empty: outside of any VPC."
  type        = list(string)
  default     = []
}

variable "hook_security_group_ids" {
  description = "Security groups for the hook's function in hook_subnet_ids."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags for everything."
  type        = map(string)
  default     = {}
}
