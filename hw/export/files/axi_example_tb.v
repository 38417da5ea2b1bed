// Runs program.hex on axi_example and compares memory with expected.hex where mask.hex has ones.
// Prints PASS or FAIL.
`timescale 1ns / 1ps
`include "registers.vh"
`include "program.vh"

module axi_example_tb;
  reg clk = 0, rst = 1;
  always #5 clk = ~clk;

  wire irq;
  reg  [13:0] awaddr = 0, araddr = 0;
  reg  [31:0] wdata = 0;
  reg         awvalid = 0, wvalid = 0, arvalid = 0;
  wire        awready, wready, bvalid, arready, rvalid;
  wire [31:0] rdata;
  wire [1:0]  bresp, rresp;

  axi_example #(.WORDS(`PROGRAM_WORDS), .INIT("program.hex")) dut (
      .clk(clk), .rst(rst), .irq(irq),
      .s_axil_awaddr(awaddr), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
      .s_axil_wdata(wdata), .s_axil_wstrb(4'hf), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
      .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(1'b1),
      .s_axil_araddr(araddr), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
      .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(1'b1)
  );

  // Inputs change at falling edges.  Address and data may be taken in different cycles.
  reg aw_taken, w_taken, ar_taken;
  task write(input [13:0] address, input [31:0] word);
    begin
      awaddr = address;
      wdata = word;
      awvalid = 1;
      wvalid = 1;
      while (awvalid || wvalid) begin
        aw_taken = awready;
        w_taken = wready;
        @(negedge clk);
        if (aw_taken) awvalid = 0;
        if (w_taken) wvalid = 0;
      end
      while (!bvalid) @(negedge clk);
      @(negedge clk);
    end
  endtask

  reg [31:0] value;
  task read(input [13:0] address);
    begin
      araddr = address;
      arvalid = 1;
      while (arvalid) begin
        ar_taken = arready;
        @(negedge clk);
        if (ar_taken) arvalid = 0;
      end
      while (!rvalid) @(negedge clk);
      value = rdata;
      @(negedge clk);
    end
  endtask

  reg [63:0] expected [0:`PROGRAM_WORDS-1];
  reg [63:0] mask     [0:`PROGRAM_WORDS-1];
  integer k, lane, compared, wrong, cycles;

  task expect_value(input [13:0] address, input [31:0] wanted);
    begin
      read(address);
      if (value !== wanted) begin
        $display("FAIL: register %h reads %h, not %h", address, value, wanted);
        $finish;
      end
    end
  endtask

  // An access to a register that nobody answers would wait for ever.
  initial begin
    repeat (2 * `PROGRAM_LIMIT) @(negedge clk);
    $display("FAIL: no end");
    $finish;
  end

  initial begin
    $readmemh("expected.hex", expected);
    $readmemh("mask.hex", mask);
    repeat (4) @(negedge clk);
    rst = 0;
    expect_value(`PENSTOCK_ID, `PENSTOCK_ID_VALUE);
    expect_value(`PENSTOCK_FINGERPRINT_LO, `PROGRAM_FINGERPRINT_LO);
    expect_value(`PENSTOCK_FINGERPRINT_HI, `PROGRAM_FINGERPRINT_HI);
    write(`PENSTOCK_BASE, `PROGRAM_BASE);
    write(`PENSTOCK_DESC_ADDR, `PROGRAM_DESC_ADDR);
    write(`PENSTOCK_DESC_COUNT, `PROGRAM_DESC_COUNT);
    write(`PENSTOCK_WATCHDOG, 32'd10000);
    write(`PENSTOCK_IRQ_ENABLE, 32'd1);
    write(`PENSTOCK_CTRL, 32'd1);
    cycles = 0;
    while (!irq && cycles < `PROGRAM_LIMIT) begin
      @(negedge clk);
      cycles = cycles + 1;
    end
    if (!irq) begin
      $display("FAIL: no interrupt after %0d cycles", cycles);
      $finish;
    end
    read(`PENSTOCK_ERROR);
    if (value !== 0) $display("FAIL: error %h", value);
    expect_value(`PENSTOCK_STATUS, 32'd2);
    read(`PENSTOCK_CYCLES);
    cycles = value;
    compared = 0;
    wrong = 0;
    for (k = 0; k < `PROGRAM_WORDS; k = k + 1)
      for (lane = 0; lane < 8; lane = lane + 1)
        if (mask[k][8*lane +: 8] != 0) begin
          compared = compared + 1;
          if (dut.memory.memory[k][8*lane +: 8] !== expected[k][8*lane +: 8]) wrong = wrong + 1;
        end
    if (wrong != 0 || compared == 0)
      $display("FAIL: %0d of %0d bytes differ from the golden model", wrong, compared);
    else $display("PASS: %0d bytes as in the golden model, %0d cycles", compared, cycles);
    $finish;
  end
endmodule
