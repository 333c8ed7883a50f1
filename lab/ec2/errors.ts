/** A refusal as EC2 gives it: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
export class Ec2Error extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.name = "Ec2Error";
    this.code = code;
    this.status = status;
  }
}
