# For those who build their machine images with Packer: Debian's own image of EC2 with the connector's package, instead of
# a disk from `npm run image`. Larger, with an SSH server, and with what Debian's image brings.
#   packer init . && packer build -var package=../../dist/packages/connector_0.1.0-1_amd64.deb .

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
  }
}

variable "package" {
  type        = string
  description = "The connector's .deb for amd64, made by `npm run package`."
}

variable "region" {
  type    = string
  default = "us-east-1"
}

source "amazon-ebs" "connector" {
  region        = var.region
  instance_type = "t3.small"
  ami_name      = "connector-{{timestamp}}"
  ssh_username  = "admin"
  ena_support   = true
  imds_support  = "v2.0"

  source_ami_filter {
    owners      = ["136693071363"] # Debian
    most_recent = true
    filters = {
      name                = "debian-13-amd64-*"
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  # While building, too.
  metadata_options {
    http_tokens   = "required"
    http_endpoint = "enabled"
  }
}

build {
  sources = ["source.amazon-ebs.connector"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/connector.deb"
  }

  provisioner "shell" {
    inline = [
      # The build's own user-data is done with; packages come after it.
      "cloud-init status --wait",
      "sudo apt-get update -q",
      "sudo apt-get install -q -y --no-install-recommends /tmp/connector.deb",
      # The first line of ../90-connector.cfg that says something; the rest is for an image without Debian's own settings.
      "echo 'datasource_list: [Ec2]' | sudo tee /etc/cloud/cloud.cfg.d/99-connector.cfg",
      # Each instance makes its own identity, host keys and machine-id.
      "sudo rm -f /tmp/connector.deb /etc/ssh/ssh_host_* /var/lib/systemd/random-seed",
      "sudo cloud-init clean --logs --machine-id --seed",
      "sudo rm -f /root/.ssh/authorized_keys /home/admin/.ssh/authorized_keys",
    ]
  }
}
