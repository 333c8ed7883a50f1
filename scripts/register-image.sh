#!/bin/sh
# Makes an AMI of a raw disk: uploads it, imports it as a snapshot, registers the snapshot.
#   scripts/register-image.sh [--dry-run] --bucket BUCKET --name NAME --region REGION FILE.raw
# It needs the AWS CLI with credentials that may do what each command below does, and the service role `vmimport`
# (https://docs.aws.amazon.com/vm-import/latest/userguide/required-permissions.html) that may read the bucket.
# --dry-run prints the commands and does nothing.
set -eu
usage() {
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 64
}
dry= bucket= name= region= file=
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) dry=yes ;;
    --bucket | --name | --region)
      [ $# -gt 1 ] || usage
      case "$1" in --bucket) bucket=$2 ;; --name) name=$2 ;; --region) region=$2 ;; esac
      shift
      ;;
    -*) usage ;;
    *) [ -z "$file" ] || usage; file=$1 ;;
  esac
  shift
done
[ -n "$bucket" ] && [ -n "$name" ] && [ -n "$region" ] && [ -n "$file" ] || usage
# What EC2 takes in the name of an image, less what the CLI's shorthand has a use for.
case "$name" in *[!A-Za-z0-9\ ./_-]*) echo "register-image: --name takes letters, digits, spaces and ./_-" >&2; exit 64 ;; esac
[ -n "$dry" ] || [ -r "$file" ] || { echo "register-image: $file cannot be read" >&2; exit 66; }
[ -n "$dry" ] || command -v aws >/dev/null || { echo "register-image: the AWS CLI (aws) is not installed" >&2; exit 69; }

key=$(basename "$file")
container="Description=$name,Format=raw,UserBucket={S3Bucket=$bucket,S3Key=$key}"

# Prints what it runs, and in a dry run an example of its answer in place of the answer.
ask() {
  example=$1
  shift
  for word; do case "$word" in *[!A-Za-z0-9_./:=,-]*) printf "'%s' " "$word" ;; *) printf '%s ' "$word" ;; esac; done >&2
  echo >&2
  if [ -n "$dry" ]; then printf '%s' "${example:+$example
}"; else "$@"; fi
}

ask '' aws s3 cp --region "$region" --only-show-errors "$file" "s3://$bucket/$key"
task=$(ask import-snap-TASK aws ec2 import-snapshot --region "$region" --description "$name" \
  --disk-container "$container" --query ImportTaskId --output text)
# A gibibyte takes minutes. The CLI's own waiter gives up after ten.
tries=0
while :; do
  state=$(ask completed aws ec2 describe-import-snapshot-tasks --region "$region" --import-task-ids "$task" \
    --query 'ImportSnapshotTasks[0].SnapshotTaskDetail.Status' --output text)
  case "$state" in
    completed) break ;;
    deleted | deleting | error) echo "register-image: $task is $state; its StatusMessage says why" >&2; exit 1 ;;
  esac
  tries=$((tries + 1))
  [ "$tries" -lt 120 ] || { echo "register-image: $task is still $state after an hour" >&2; exit 75; }
  sleep 30
done
snapshot=$(ask snap-SNAPSHOT aws ec2 describe-import-snapshot-tasks --region "$region" --import-task-ids "$task" \
  --query 'ImportSnapshotTasks[0].SnapshotTaskDetail.SnapshotId' --output text)
# ENA: the network of Nitro instances. uefi-preferred: instance types that know only BIOS boot it, too. v2.0: instances of
# it are launched with IMDSv2 required, unless the launch says otherwise.
ask ami-IMAGE aws ec2 register-image --region "$region" --name "$name" --description "Connector instance" \
  --architecture x86_64 --virtualization-type hvm --ena-support --boot-mode uefi-preferred --imds-support v2.0 \
  --root-device-name /dev/xvda \
  --block-device-mappings "DeviceName=/dev/xvda,Ebs={SnapshotId=$snapshot,VolumeType=gp3,VolumeSize=8,DeleteOnTermination=true}" \
  --query ImageId --output text
