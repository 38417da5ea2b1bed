// Loads a compiled program into the memory of the LiteX SoC, runs it, waits for the interrupt, and
// compares its feature maps with the golden model; all through the SoC's Wishbone port.
`timescale 1ns / 1ps
`default_nettype none
`include "program.vh"
`include "registers.vh"

module litex_tb;
  localparam MEMORY = 32'h4000_0000, CORE = 32'h8000_0000;

  reg clk = 0, rst = 1;
  always #5 clk = !clk;

  reg  [29:0] adr = 0;
  reg  [31:0] dat_w = 0;
  wire [31:0] dat_r;
  reg         cyc = 0, we = 0;
  wire        ack, err, irq;

  litex_soc dut (
      .sys_clk(clk), .sys_rst(rst), .irq(irq),
      .host_adr(adr), .host_dat_w(dat_w), .host_dat_r(dat_r), .host_sel(4'b1111),
      .host_cyc(cyc), .host_stb(cyc), .host_ack(ack), .host_we(we),
      .host_cti(3'b000), .host_bte(2'b00), .host_err(err)
  );

  // One access: what is read is in `value`.
  reg [31:0] value;
  integer    waited;
  task access(input [31:0] address, input write, input [31:0] data);
    begin
      adr = address[31:2];
      we = write;
      dat_w = data;
      cyc = 1;
      waited = 0;
      #1;
      while (!ack && !err && waited < 10000) begin
        @(negedge clk);
        waited = waited + 1;
      end
      if (!ack || err) begin
        $display("FAIL: no answer from address %h", address);
        $finish;
      end
      value = dat_r;
      @(negedge clk);
      cyc = 0;
      @(negedge clk);
    end
  endtask

  task write(input [31:0] address, input [31:0] data);
    access(address, 1, data);
  endtask

  task expect_value(input [31:0] address, input [31:0] wanted);
    begin
      access(address, 0, 0);
      if (value !== wanted) begin
        $display("FAIL: address %h reads %h, not %h", address, value, wanted);
        $finish;
      end
    end
  endtask

  reg [63:0] program_words [0:`PROGRAM_WORDS-1];
  reg [63:0] expected      [0:`PROGRAM_WORDS-1];
  reg [63:0] mask          [0:`PROGRAM_WORDS-1];
  integer k, half, lane, compared, wrong, cycles;

  initial begin
    $readmemh("program.hex", program_words);
    $readmemh("expected.hex", expected);
    $readmemh("mask.hex", mask);
    repeat (4) @(negedge clk);
    rst = 0;
    repeat (4) @(negedge clk);
    expect_value(CORE + `PENSTOCK_ID, `PENSTOCK_ID_VALUE);
    expect_value(CORE + `PENSTOCK_FINGERPRINT_LO, `PROGRAM_FINGERPRINT_LO);
    expect_value(CORE + `PENSTOCK_FINGERPRINT_HI, `PROGRAM_FINGERPRINT_HI);
    // The memory starts as zeros.
    for (k = 0; k < `PROGRAM_WORDS; k = k + 1)
      for (half = 0; half < 2; half = half + 1)
        if (program_words[k][32*half +: 32] != 0)
          write(MEMORY + 8 * k + 4 * half, program_words[k][32*half +: 32]);
    write(CORE + `PENSTOCK_BASE, MEMORY + `PROGRAM_BASE);
    write(CORE + `PENSTOCK_DESC_ADDR, `PROGRAM_DESC_ADDR);
    write(CORE + `PENSTOCK_DESC_COUNT, `PROGRAM_DESC_COUNT);
    write(CORE + `PENSTOCK_WATCHDOG, 32'd10000);
    write(CORE + `PENSTOCK_IRQ_ENABLE, 32'd1);
    write(CORE + `PENSTOCK_CTRL, 32'd1);
    cycles = 0;
    while (!irq && cycles < `PROGRAM_LIMIT) begin
      @(negedge clk);
      cycles = cycles + 1;
    end
    if (!irq) begin
      $display("FAIL: no interrupt after %0d cycles", cycles);
      $finish;
    end
    expect_value(CORE + `PENSTOCK_ERROR, 0);
    expect_value(CORE + `PENSTOCK_STATUS, 32'd2);
    access(CORE + `PENSTOCK_CYCLES, 0, 0);
    cycles = value;
    compared = 0;
    wrong = 0;
    for (k = 0; k < `PROGRAM_WORDS; k = k + 1)
      for (half = 0; half < 2; half = half + 1)
        if (mask[k][32*half +: 32] != 0) begin
          access(MEMORY + 8 * k + 4 * half, 0, 0);
          for (lane = 0; lane < 4; lane = lane + 1)
            if (mask[k][32*half + 8*lane +: 8] != 0) begin
              compared = compared + 1;
              if (value[8*lane +: 8] !== expected[k][32*half + 8*lane +: 8]) wrong = wrong + 1;
            end
        end
    if (wrong != 0 || compared == 0)
      $display("FAIL: %0d of %0d bytes differ from the golden model", wrong, compared);
    else $display("PASS: %0d bytes as in the golden model, %0d cycles", compared, cycles);
    $finish;
  end
endmodule

`default_nettype wire
