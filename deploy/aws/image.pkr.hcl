// An image with all that a first boot would fetch: packages, Triton's container, the media server, models, and TensorRT's
// engines for its GPU. From the top of the checkout:
//   mkdir -p build && git archive --format=tar --output build/source.tar HEAD
//   packer init deploy/aws/image.pkr.hcl
//   packer build -var base_image=ami-… -var region=… -var subnet=subnet-… deploy/aws/image.pkr.hcl
// Its id goes into stack.env as ImageId. deploy.sh --newest-image says a base image.

packer {
  required_plugins {
    amazon = {
      version = "~> 1.3"
      source  = "github.com/hashicorp/amazon"
    }
  }
}

variable "region" {
  type = string
}

variable "base_image" {
  type = string
}

variable "subnet" {
  type        = string
  description = "A public one, in a zone that offers the instance type"
}

variable "instance_type" {
  type        = string
  default     = "g4dn.xlarge"
  description = "That of the stack: engines fit the GPU that built them"
}

variable "models" {
  type        = string
  default     = "inference/builtin"
  description = "Folder with the models to bring"
}

source "amazon-ebs" "machine" {
  region                      = var.region
  source_ami                  = var.base_image
  instance_type               = var.instance_type
  subnet_id                   = var.subnet
  associate_public_ip_address = true
  ssh_username                = "ubuntu"
  ami_name                    = "mediaserver-{{timestamp}}"
  encrypt_boot                = true

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_size           = 120
    volume_type           = "gp3"
    throughput            = 250
    delete_on_termination = true
  }
}

build {
  sources = ["source.amazon-ebs.machine"]

  provisioner "file" {
    source      = "build/source.tar"
    destination = "/tmp/source.tar"
  }

  // "The destination directory must already exist" (Packer, file provisioner).
  provisioner "shell" {
    inline = ["mkdir -p /tmp/models"]
  }

  provisioner "file" {
    source      = "${var.models}/"
    destination = "/tmp/models"
  }

  provisioner "shell" {
    environment_vars = ["AWS_DEFAULT_REGION=${var.region}"]
    execute_command  = "sudo env {{ .Vars }} bash -eux {{ .Path }}"
    inline = [
      "cloud-init status --wait || true",
      "mkdir -p /opt/mediaserver-source",
      "tar --extract --file /tmp/source.tar --directory /opt/mediaserver-source --no-same-owner",
      "/opt/mediaserver-source/deploy/aws/bake.sh /tmp/models",
      "rm -rf /tmp/source.tar /tmp/models",
    ]
  }
}
